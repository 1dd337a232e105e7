import { archiveAttack } from '../fixtures/archive-attack.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const sound = tarBytes([{ path: 'ok', content: 'ok' }])

const targets: readonly [string, RegExp][] = [
  ['/etc/passwd', /absolute/],
  ['../outside', /"\.\."/],
  ['later', /not an earlier entry/],
]
for (const [linkpath, message] of targets) {
  const archive = tarBytes([{ path: 'hard', type: 'Link', linkpath }, { path: 'later' }])
  archiveAttack(
    `a hard link to what is not in the archive is refused: ${linkpath}`,
    { archive, message },
    sound,
  )
}
