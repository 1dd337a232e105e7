import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * git's helpers for HTTP and ssh outlive a git that is killed, for as long as the server is silent.
 * simple-git signals git alone and cannot start a process group, so this does both: git runs in a
 * session of its own, and the signal goes to all of it. Without `setsid`, to git alone.
 */
const script = `if command -v setsid >/dev/null 2>&1; then
  setsid "$LARDER_GIT" "$@" &
else
  "$LARDER_GIT" "$@" &
fi
child=$!
trap 'kill -TERM "-$child" 2>/dev/null || kill -TERM "$child" 2>/dev/null' INT TERM
wait "$child"
`

/** Writes the launcher into a directory, which is made if it is not there. Returns its path. */
export async function writeGitLauncher(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true })
  const path = join(directory, 'git-launcher.sh')
  const unfinished = `${path}.${process.pid}`
  await writeFile(unfinished, script)
  await rename(unfinished, path)
  return path
}
