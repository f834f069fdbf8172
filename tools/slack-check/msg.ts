import type { KnownBlock } from '@slack/types';

// Stricter than MessageAttachment of @slack/types, whose AnyBlock lets a malformed block through.
export interface SlackAttachment {
  color?: string;
  fallback?: string;
  blocks: KnownBlock[];
}

// What clbwatch posts: the arguments of chat.postMessage and of an incoming webhook that it uses, and no others.
export interface SlackMessage {
  text: string;
  blocks?: KnownBlock[];
  attachments?: SlackAttachment[];
  thread_ts?: string;
  unfurl_links?: boolean;
  unfurl_media?: boolean;
}
