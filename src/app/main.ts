/** The web app: styles, and the frame, which brings the rest. */

import './styles/theme.css';
import './styles/frame.css';
import './styles/controls.css';
import './styles/scans.css';
import './styles/train.css';
import './styles/runs.css';
import './app-view.ts';
