import { archiveAttack } from '../fixtures/archive-attack.ts'
import { paxBlocks, tarBytes } from '../fixtures/tar-bytes.ts'

const sound = tarBytes([{ path: 'ok', content: 'ok' }])

archiveAttack(
  'a path deeper than the limit is refused',
  {
    archive: Buffer.concat([...paxBlocks({ path: 'd/'.repeat(1000) }), tarBytes([{ path: 'x' }])]),
    message: /depthMax = 128/,
    code: 'RESOURCE_EXHAUSTED',
  },
  sound,
)
