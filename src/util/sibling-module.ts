import { extname } from 'node:path'

/**
 * The module of this name beside the one of `metaUrl`, with the same ending: `.ts` when run from
 * `src/`, `.js` from `dist/`. For starting worker threads, whose modules no import names.
 */
export function siblingModule(metaUrl: string, name: string): URL {
  return new URL(`./${name}${extname(metaUrl)}`, metaUrl)
}
