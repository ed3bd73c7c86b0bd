#!/usr/bin/env node
/** The command line: one file a command in `commands/`. Errors are one line and a non-zero exit. */

import { program } from 'commander';
import { HysparkError } from '../errors.ts';
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
  .addCommand(pretrainCommand())
  .addCommand(resumeCommand())
  .addCommand(reconstructCommand())
  .addCommand(exportCommand())
  .addCommand(devicesCommand())
  .addCommand(demoCommand())
  .addCommand(inspectCommand())
  .addCommand(sampleCommand());

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof HysparkError)) throw error;
  console.error(`hyspark: ${error.message}`);
  process.exitCode = 1;
}
