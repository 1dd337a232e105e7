import { archiveAttack } from '../fixtures/archive-attack.ts'
import { paxBlocks, tarBytes } from '../fixtures/tar-bytes.ts'

const sound = tarBytes([{ path: 'ok', content: 'ok' }])

archiveAttack(
  'a sparse file of pax is refused, since its content is a map and its size a lie',
  {
    archive: Buffer.concat([
      ...paxBlocks({ 'GNU.sparse.major': '1', 'GNU.sparse.realsize': '99999999999' }),
      tarBytes([{ path: 'sparse', content: 'x' }]),
    ]),
    message: /entry "sparse" is a sparse file/,
  },
  sound,
)

archiveAttack(
  'a sparse file of old GNU tar is refused',
  {
    archive: tarBytes([{ path: 'sparse', content: 'x', flag: 'S' }]),
    message: /entry "sparse" is neither file, directory nor link/,
  },
  sound,
)
