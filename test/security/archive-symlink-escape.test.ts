import { archiveAttack } from '../fixtures/archive-attack.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const sound = tarBytes([{ path: 'ok', content: 'ok' }])

const targets = ['/etc/passwd', '../../outside', '..' + '/..', 'x/../../../outside', './/../../y']
for (const linkpath of targets) {
  const archive = tarBytes([{ path: 'd/link', type: 'SymbolicLink', linkpath }])
  const message = /entry "d\/link" links to .*, out of the tree/
  archiveAttack(`a symlink that leads out is refused: ${linkpath}`, { archive, message }, sound)
}

archiveAttack(
  'a symlink that leads out only by way of another one is refused',
  {
    archive: tarBytes([
      { path: 'a/b/up', type: 'SymbolicLink', linkpath: '../..' },
      { path: 'link', type: 'SymbolicLink', linkpath: 'a/b/up/../outside' },
    ]),
    message: /entry "link" links to/,
  },
  sound,
)

archiveAttack(
  'a file written through a symlink is refused',
  {
    archive: tarBytes([
      { path: 'link', type: 'SymbolicLink', linkpath: 'd' },
      { path: 'link/file', content: 'x' },
    ]),
    message: /entry "link\/file" needs "link" as a directory, which is a symlink/,
  },
  sound,
)
