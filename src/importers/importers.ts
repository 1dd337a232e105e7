import type { Digest, DigestFunction } from '../asset/digest.ts'

/**
 * Bytes and commits into Directories of the CAS. Both return the digest of a canonical root
 * Directory whose whole tree is in the CAS, and leave nothing half done that could be seen.
 *
 * Errors: INVALID_ARGUMENT for what is not a readable archive or names something that a Directory
 * cannot hold (the entry is named); NOT_FOUND if the subtree or file is not in it;
 * RESOURCE_EXHAUSTED beyond a limit, whose name is in the message.
 */
export interface Importers {
  importArchive(archive: Digest, options: TreeSelection, signal: AbortSignal): Promise<Digest>
  importCommit(
    commit: { readonly gitDir: string; readonly commit: string },
    options: TreeSelection,
    signal: AbortSignal,
  ): Promise<Digest>
}

/** Which part of the tree is wanted, and under which function it is named. */
export interface TreeSelection {
  readonly digestFunction: DigestFunction
  /** Path of a directory in the tree, "/"-separated; the root if undefined. */
  readonly directory: string | undefined
  /** Leading path that is cut off every entry, as http_archive's `strip_prefix`. */
  readonly stripPrefix: string | undefined
}
