/** The state of the page: one of each. */

import { Navigation } from './navigation.ts';
import { Scans } from './scans.ts';
import { Session } from './session.ts';
import { Settings } from './settings.ts';

export const scans = new Scans();
export const session = new Session();
export const settings = new Settings();
export const navigation = new Navigation();
