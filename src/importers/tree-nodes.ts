/** A tree on its way to Directories, in memory. */
export type TreeNode = DirectoryNode | FileNode | SymlinkNode

export interface DirectoryNode {
  readonly type: 'directory'
  readonly children: Map<string, TreeNode>
}

export interface FileNode {
  readonly type: 'file'
  readonly isExecutable: boolean
  /** Under the function that the tree is named by; empty until the content was read. */
  hash: string
  sizeBytes: number
}

export interface SymlinkNode {
  readonly type: 'symlink'
  readonly target: string
}

export function emptyDirectory(): DirectoryNode {
  return { type: 'directory', children: new Map() }
}
