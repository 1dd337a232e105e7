import { archiveAttack } from '../fixtures/archive-attack.ts'
import { entryBlocks, paxBlocks, tarBytes } from '../fixtures/tar-bytes.ts'

const sound = tarBytes([{ path: 'ok', content: 'ok' }])
const attacks: readonly [string, string, RegExp][] = [
  ['a name', 'n'.repeat(256), /nameBytesMax = 255/],
  ['a path', 'path/'.repeat(1000), /pathBytesMax = 4096/],
]
for (const [what, path, message] of attacks) {
  const archive = Buffer.concat([...paxBlocks({ path }), tarBytes([{ path: 'x' }])])
  const code = 'RESOURCE_EXHAUSTED'
  archiveAttack(`${what} longer than the limit is refused`, { archive, message, code }, sound)
}

archiveAttack(
  'a header for long names that is itself beyond measure is refused',
  {
    archive: Buffer.concat([
      ...entryBlocks({ path: 'x', content: 'n'.repeat(2 * 1024 * 1024), flag: 'L' }),
      tarBytes([{ path: 'x' }]),
    ]),
    message: /over 1 MiB/,
  },
  sound,
)

archiveAttack(
  'a name that is not UTF-8 is refused',
  {
    archive: Buffer.concat([
      ...entryBlocks({ path: 'x', content: Buffer.from('caf\xe9\0', 'latin1'), flag: 'L' }),
      tarBytes([{ path: 'x' }]),
    ]),
    message: /not UTF-8/,
  },
  sound,
)
