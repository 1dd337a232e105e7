const reasons: Readonly<Record<string, string>> = {
  EACCES: 'this user may not do that',
  EDQUOT: 'the quota of the disk is used up',
  EISDIR: 'it is a directory, not a file',
  ENOENT: 'there is no such file or directory',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a part of the path is a file, not a directory',
  EPERM: 'this user may not do that',
  EROFS: 'the file system is read-only',
}

/** Why the system refused something, in words; undefined for what is none of its usual refusals. */
export function systemReason(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return code === undefined ? undefined : reasons[code]
}
