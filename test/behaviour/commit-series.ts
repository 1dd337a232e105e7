import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/**
 * Makes a bare repository whose commits each add a file and change another. Returns their ids, the
 * oldest first.
 */
export async function makeRepository(path: string, count: number): Promise<string[]> {
  await git(['init', '--quiet', '--bare', '--initial-branch=main', path])
  const commits: string[] = []
  for (let nth = 1; nth <= count; nth += 1) {
    const file = `added by ${path} ${nth}\n`.repeat(nth * 100)
    const changed = `changed ${nth} times in ${path}\n`
    commits.push(
      'commit refs/heads/main',
      `mark :${nth}`,
      `committer Test <test@example.com> ${1_700_000_000 + nth} +0000`,
      ...dataLines(`commit ${nth}\n`),
      ...(nth > 1 ? [`from :${nth - 1}`] : []),
      `M 100644 inline added/${nth}.txt`,
      ...dataLines(file),
      'M 100755 inline changed.sh',
      ...dataLines(changed),
    )
  }
  await git(['--git-dir', path, 'fast-import', '--quiet'], `${commits.join('\n')}\n`)
  const ids = await git(['--git-dir', path, 'rev-list', '--reverse', 'main'])
  return ids.trim().split('\n')
}

function dataLines(content: string): string[] {
  return [`data ${Buffer.byteLength(content)}`, content]
}

async function git(args: readonly string[], input = ''): Promise<string> {
  const child = spawn('git', args, { stdio: ['pipe', 'pipe', 'inherit'] })
  // Not every command reads it.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')])
  if (code !== 0) throw new Error(`git ${args.join(' ')} ended with ${code}`)
  return output
}
