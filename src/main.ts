#!/usr/bin/env node
// Nothing is imported before this check: under an older Node the SQLite addon ends the process with
// a segmentation fault, and undici throws, before a word of ours is printed.
const nodeMajorMin = 24
const nodeMajor = Number(process.versions.node.split('.', 1)[0])
if (nodeMajor < nodeMajorMin) {
  console.error(
    `Larder needs Node ${nodeMajorMin} or later, and this is Node ${process.versions.node}.`,
  )
  process.exitCode = 1
} else {
  import('./cli/program.ts').then(({ runProgram }) => runProgram(process.argv))
}

export {}
