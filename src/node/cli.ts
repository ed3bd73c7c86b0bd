#!/usr/bin/env node
/** The command line: one file a command in `commands/`. Errors are one line and a non-zero exit. */

import { program } from 'commander';
import { HysparkError } from '../errors.ts';
import { VERSION } from '../train/folder.ts';
import { demoCommand } from './commands/demo.ts';
import { devicesCommand } from './commands/devices.ts';
import { exportCommand } from './commands/export.ts';
import { inspectCommand } from './commands/inspect.ts';
import { pretrainCommand } from './commands/pretrain.ts';
import { reconstructCommand } from './commands/reconstruct.ts';
import { resumeCommand } from './commands/resume.ts';
import { sampleCommand } from './commands/sample.ts';

program
  .name('hyspark')
  .description('Pre-train a 3D medical image model (HySparK) on CT scans')
  .version(VERSION)
  .addCommand(pretrainCommand())
  .addCommand(resumeCommand())
  .addCommand(reconstructCommand())
  .addCommand(exportCommand())
  .addCommand(devicesCommand())
  .addCommand(demoCommand())
  .addCommand(inspectCommand())
  .addCommand(sampleCommand());

// Nobody reads any more (`hyspark … | head`): that is no reason to lose a run.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
  });
}

try {
  await program.parseAsync();
} catch (error) {
  // What the system refuses (a folder that may not be written, a full disk) is said by it; everything else is a defect.
  const isRefusal = error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
  if (!(error instanceof HysparkError) && !isRefusal) throw error;
  console.error(`hyspark: ${error.message}`);
  process.exitCode = 1;
}
