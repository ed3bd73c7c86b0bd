/** The state of the page: one of each. */

import { Scans } from './scans.ts';
import { Session } from './session.ts';
import { Settings } from './settings.ts';
import { Navigation } from './navigation.ts';

export const scans = new Scans();
export const session = new Session();
export const settings = new Settings();
export const navigation = new Navigation();
