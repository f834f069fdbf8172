// render.mjs MESSAGE.json: a Slack message as a web page, on standard output.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import React from 'react';
import { renderToStaticMarkup } from 'react-dom/server';

const require = createRequire(import.meta.url);
const { Message } = require('slack-blocks-to-jsx');
const css = fs.readFileSync(new URL('node_modules/slack-blocks-to-jsx/dist/style.css', import.meta.url), 'utf8');
const logo = 'data:image/svg+xml,' + encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" width="36" height="36"><rect width="36" height="36" rx="6" fill="#1d4ed8"/></svg>');
const data = { users: [], channels: [], user_groups: [] };

// The library shows text with verbatim:true raw, while Slack formats it all the same.
const formatted = (blocks = []) => JSON.parse(JSON.stringify(blocks, (key, value) => (key === 'verbatim' ? undefined : value)));

const message = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const el = React.createElement;
const bar = a => ({ borderLeft: `4px solid ${a.color ?? '#ddd'}`, borderRadius: 4, margin: '2px 0 8px 52px', paddingLeft: 8 });
const page = el('div', {},
  el(Message, { blocks: formatted(message.blocks), name: 'clbwatch', logo, time: new Date(0), data, showBlockKitDebug: false }),
  // The library knows no attachments: the bar is drawn here.
  (message.attachments ?? []).map((a, i) =>
    el('div', { key: i, style: bar(a) }, el(Message, { blocks: formatted(a.blocks), name: '', logo, withoutWrapper: true, data }))));

console.log(`<!doctype html><meta charset="utf-8"><style>${css}
body { margin: 0; background: #fff; font-family: Lato, "Noto Sans", sans-serif; padding: 12px; box-sizing: border-box }
pre, code { white-space: pre-wrap }</style>
<body>${renderToStaticMarkup(page)}`);
