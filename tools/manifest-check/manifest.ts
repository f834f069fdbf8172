import type { Manifest } from '@slack/web-api/dist/types/request/manifest.js';

// Stricter than Manifest, which is a Record<string, unknown> too and so takes any key. It has only the groups
// that clbwatch uses; what may be in them, scopes included, is Slack's.
export interface AppManifest {
  display_information: Manifest['display_information'];
  features: NonNullable<Manifest['features']>;
  oauth_config: NonNullable<Manifest['oauth_config']>;
  settings: NonNullable<Manifest['settings']>;
}
