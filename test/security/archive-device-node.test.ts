import { archiveAttack } from '../fixtures/archive-attack.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const sound = tarBytes([{ path: 'ok', content: 'ok' }])

for (const type of ['CharacterDevice', 'BlockDevice', 'FIFO'] as const) {
  const archive = tarBytes([{ path: 'dev/evil', type }])
  const message = new RegExp(`entry "dev/evil" is neither file, directory nor link: ${type}`)
  archiveAttack(`what is no file is refused: ${type}`, { archive, message }, sound)
}
