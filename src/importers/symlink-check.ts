import { type DirectoryNode, emptyDirectory, type TreeNode } from './tree-nodes.ts'

/** As Linux: after so many links on one way, it is a loop, which leads nowhere. */
const hopsMax = 40

/**
 * True if a symlink leads out of the tree: an absolute target, or more `..` than directories above
 * it. Links on the way are followed, since `link/..` need not be where it seems to be: with
 * `a/b/up -> ../..`, the target `a/b/up/..` is above the root.
 * @param parents the directories from the root of the tree to the one that holds the link
 */
export function escapesTree(target: string, parents: readonly DirectoryNode[]): boolean {
  if (target.startsWith('/')) return true
  // Without ".." a link cannot go up by itself, and links on its way are checked on their own.
  if (!target.includes('..')) return false
  const way = [...parents]
  const ahead = target.split('/').reverse()
  let hops = 0
  for (let segment = ahead.pop(); segment !== undefined; segment = ahead.pop()) {
    if (segment === '' || segment === '.') continue
    if (segment === '..') {
      way.pop()
      if (way.length === 0) return true
      continue
    }
    const node: TreeNode | undefined = way.at(-1)?.children.get(segment)
    if (node?.type !== 'symlink') {
      // What is not there yet, or is a file, counts as a directory: the stricter reading.
      way.push(node?.type === 'directory' ? node : emptyDirectory())
    } else {
      if (ahead.length === 0) return false
      if (++hops > hopsMax) return false
      if (node.target.startsWith('/')) return true
      ahead.push(...node.target.split('/').reverse())
    }
  }
  return false
}
