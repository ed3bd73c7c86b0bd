#!/usr/bin/env node
/** The command line: one file a command in `commands/`. Errors are one line and a non-zero exit. */

import { program } from 'commander';
import { HysparkError } from '../errors.ts';
import { inspectCommand } from './commands/inspect.ts';
import { sampleCommand } from './commands/sample.ts';

program
  .name('hyspark')
  .description('Pre-train a 3D medical image model (HySparK) on CT scans')
  .addCommand(inspectCommand())
  .addCommand(sampleCommand());

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof HysparkError)) throw error;
  console.error(`hyspark: ${error.message}`);
  process.exitCode = 1;
}
