/** Puts the generated codecs beside the compiled files: tsc compiles only what is TypeScript. */
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
mkdirSync(join(root, 'dist/gen'), { recursive: true })
for (const file of ['reapi.js', 'reapi.d.ts']) {
  copyFileSync(join(root, 'src/gen', file), join(root, 'dist/gen', file))
}
