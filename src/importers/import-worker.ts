import { parentPort } from 'node:worker_threads'
import { toAssetError } from '../asset/errors.ts'
import { runArchiveJob } from './archive-job.ts'
import { runCommitJob } from './commit-job.ts'
import type { JobStart } from './job-messages.ts'
import { JobPort } from './job-port.ts'

/** A worker thread: takes one job after the other, each with a port of its own. */
parentPort?.on('message', (start: JobStart) => void run(start))

async function run({ job, port }: JobStart): Promise<void> {
  const jobPort = new JobPort(port)
  try {
    const root = await (job.type === 'archive'
      ? runArchiveJob(job, jobPort)
      : runCommitJob(job, jobPort))
    jobPort.finish({ type: 'done', ...root })
  } catch (error) {
    const { code, message } = toAssetError(error)
    jobPort.finish({ type: 'failed', code, message })
  }
}
