import { archiveAttack } from '../fixtures/archive-attack.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const sound = tarBytes([{ path: 'ok', content: 'ok' }])

archiveAttack(
  'more entries than the limit are refused',
  {
    archive: tarBytes(Array.from({ length: 101 }, (_, index) => ({ path: `f${index}` }))),
    message: /entriesMax = 100 at entry "f100"/,
    code: 'RESOURCE_EXHAUSTED',
    limits: { entriesMax: 100 },
  },
  sound,
)
