/** What an archive or repository may be at most; beyond it, the import fails and nothing is kept. */
export interface TreeLimits {
  /** Files, directories and symlinks together. */
  readonly entriesMax: number
  /** Sum of all file sizes. */
  readonly unpackedBytesMax: number
  /** Unpacked bytes for each packed byte. */
  readonly ratioMax: number
  readonly depthMax: number
  readonly nameBytesMax: number
  readonly pathBytesMax: number
}

export const defaultTreeLimits: TreeLimits = Object.freeze({
  entriesMax: 2_000_000,
  unpackedBytesMax: 64 * 1024 ** 3,
  ratioMax: 1000,
  depthMax: 128,
  nameBytesMax: 255,
  pathBytesMax: 4096,
})
