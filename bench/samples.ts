import { existsSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { shell } from './measure.ts'

/** Samples are made once and kept here. */
export const samplesDirectory = join(tmpdir(), 'larder-bench')

const linuxSource = '/usr/src/linux-source-6.1.tar.xz'

/** A file of random bytes, which nothing can compress. */
export async function randomFile(name: string, sizeBytes: number): Promise<string> {
  await mkdir(samplesDirectory, { recursive: true })
  const path = join(samplesDirectory, name)
  const isThere = existsSync(path) && (await stat(path)).size === sizeBytes
  if (!isThere) await shell(`head -c ${sizeBytes} /dev/urandom > ${path}`)
  return path
}

/** Debian's linux-source-6.1 as a tar.gz; undefined if that package is not installed. */
export async function linuxArchive(): Promise<string | undefined> {
  const path = join(samplesDirectory, 'linux.tar.gz')
  if (existsSync(path)) return path
  if (!existsSync(linuxSource)) return undefined
  await mkdir(samplesDirectory, { recursive: true })
  await shell(`xz -dc ${linuxSource} | gzip -6 > ${path}.new && mv ${path}.new ${path}`)
  return path
}

/** The same tree as a bare repository of one commit. */
export async function linuxRepository(): Promise<string | undefined> {
  const path = join(samplesDirectory, 'linux.git')
  if (existsSync(path)) return path
  const archive = await linuxArchive()
  if (archive === undefined) return undefined
  const work = join(samplesDirectory, 'linux-work')
  await shell(`
    rm -rf ${work} && mkdir ${work} && tar xf ${archive} --strip-components=1 -C ${work}
    cd ${work} && git init -q -b main && git add -A -f
    git -c user.name=bench -c user.email=bench@localhost commit -qm 'The sample tree'
    git clone -q --bare ${work} ${path}.new && git -C ${path}.new repack -adq && mv ${path}.new ${path} && rm -rf ${work}`)
  return path
}
