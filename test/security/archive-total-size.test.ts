import { archiveAttack } from '../fixtures/archive-attack.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const sound = tarBytes([{ path: 'ok', content: 'ok' }])

archiveAttack(
  'more content than the limit is refused, before it is read',
  {
    archive: tarBytes([
      { path: 'a', content: 'x'.repeat(60) },
      { path: 'b', content: 'x'.repeat(60) },
    ]),
    message: /unpackedBytesMax = 100 at entry "b"/,
    code: 'RESOURCE_EXHAUSTED',
    limits: { unpackedBytesMax: 100 },
  },
  sound,
)

archiveAttack(
  'a size in the header that is beyond the limit is refused, whatever follows',
  {
    archive: tarBytes([{ path: 'a', size: 2 ** 40 }]),
    message: /unpackedBytesMax = 1000 at entry "a"/,
    code: 'RESOURCE_EXHAUSTED',
    limits: { unpackedBytesMax: 1000 },
  },
  sound,
)
