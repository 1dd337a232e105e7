import { archiveAttack } from '../fixtures/archive-attack.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const sound = tarBytes([{ path: 'ok', content: 'ok' }])

for (const path of ['../evil', 'a/../../evil', 'a/../b', '..', './../evil']) {
  const archive = tarBytes([{ path: 'fine' }, { path, content: 'x' }])
  archiveAttack(
    `a path that goes up is refused: ${path}`,
    { archive, message: /entry .*"\.\."/ },
    sound,
  )
}
