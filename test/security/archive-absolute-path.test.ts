import { archiveAttack } from '../fixtures/archive-attack.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const sound = tarBytes([{ path: 'ok', content: 'ok' }])

for (const type of ['File', 'Directory', 'SymbolicLink'] as const) {
  const linkpath = type === 'SymbolicLink' ? { linkpath: 'x' } : {}
  const archive = tarBytes([{ path: '/etc/evil', type, ...linkpath }])
  const message = /entry "\/etc\/evil\/?" is an absolute path/
  archiveAttack(`an absolute path is refused: ${type}`, { archive, message }, sound)
}
