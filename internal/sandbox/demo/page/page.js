'use strict';
// Everything shown here may be hostile: it becomes text, never markup.

const words = { 1: 'failed', 2: 'running', 3: 'creating', 4: 'shut down', 5: 'returned', 6: 'being returned', 7: 'restarting', 8: 'starting', 9: 'shutting down' };
const emojis = { red_circle: '🔴', large_orange_circle: '🟠', large_yellow_circle: '🟡', large_green_circle: '🟢', large_blue_circle: '🔵', warning: '⚠️', information_source: 'ℹ️', eyes: '👀', wave: '👋', bar_chart: '📊', clipboard: '📋' };

function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === 'onclick') e.addEventListener('click', value);
    else if (value !== false) e.setAttribute(name, value === true ? '' : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

async function act(action, about) {
  refused(''); // what the function finds wrong comes with a later event
  try {
    const answer = await fetch('do', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ action, ...about }) });
    if (!answer.ok) refused(await answer.text());
  } catch {
    refused('the sandbox has ended, or is not to be reached');
  }
}

// refused says why the last order was refused. What is said already is not said again to those who listen.
function refused(why) {
  const box = document.getElementById('refused');
  if (box.textContent !== why) box.textContent = why;
}

const button = (text, label, live, action, about) => el('button', { 'aria-label': label, disabled: !live, onclick: () => act(action, about) }, text);

const group = (label, ...buttons) => el('div', { class: 'group', role: 'group', 'aria-label': label }, ...buttons);

function balancer(lb, live) {
  const about = { lb: lb.id };
  const notes = lb.silences.map((q) => note(lb, `silence ${q.id}`, el('span', { class: 'silenced' }, 'silenced'), ` until ${minute(q.until)}${by(q)}`,
    button('End', `End silence ${q.id} of ${lb.name}`, live, 'end', { id: q.id })));
  if (lb.incident) notes.push(incident(lb, live));
  return el('article', { class: 'card', 'data-lb': lb.id },
    el('h3', {}, lb.name, ' ', el('small', {}, lb.id)),
    el('div', { class: 'quiet' }, `${lb.running} of ${lb.backends.length} running`),
    el('div', { class: 'bar' }, bar(lb)),
    ...notes,
    ...lb.backends.map((b) => el('div', { class: 'backend', 'data-spot': b.id },
      el('span', { class: 'name' }, b.name, ' ', el('span', { class: 'quiet' }, b.ip)),
      el('span', { class: 'state ' + (b.status === 2 ? 'running' : 'down') }, `${b.status === 2 ? '●' : '○'} ${words[b.status] ?? 'unknown'} (${b.status})`),
      b.status === 2 ? button('Stop', `Stop ${b.name}`, live, 'stop', { ...about, id: b.id }) : button('Start', `Start ${b.name}`, live, 'start', { ...about, id: b.id }),
      button('Remove', `Remove ${b.name} from ${lb.name}`, live, 'remove', { ...about, id: b.id }))),
    el('div', { class: 'row' },
      group(`Backends of ${lb.name}`,
        button('Add', `Add a backend to ${lb.name}`, live, 'add', about),
        button('Stop half', `Stop half of ${lb.name}`, live && lb.running > 0, 'stopHalf', about),
        button(lb.restarting ? `Restarting, ${lb.restarting} to go` : 'Rolling restart', `Rolling restart of ${lb.name}`, live && lb.running > 0 && !lb.restarting, 'restart', about)),
      group(`Notifications of ${lb.name}`,
        button('Silence 1 h', `Silence ${lb.name} for 1 h`, live, 'silence', about)),
      group(`The API of ${lb.name}`,
        el('button', { 'aria-pressed': String(lb.fails), 'aria-label': `Fail the API for ${lb.name}`, disabled: !live, onclick: () => act('failAPI', about) }, lb.fails ? 'The API fails' : 'Fail the API'))));
}

// note is a line about a load balancer, with a button at its end.
const note = (lb, spot, ...children) => el('div', { class: 'note', 'data-spot': `${lb.id} ${spot}` }, el('span', { class: 'name' }, ...children.slice(0, -1)), children.at(-1));

function incident(lb, live) {
  const { id, ack } = lb.incident;
  if (ack) return note(lb, 'incident', `incident ${id}, acknowledged${by(ack)} since ${minute(ack.made)}`, button('End', `End the acknowledgement of incident ${id}`, live, 'end', { id: ack.id }));
  return note(lb, 'incident', `incident ${id} is open`, button('Acknowledge', `Acknowledge incident ${id}`, live, 'acknowledge', { id }));
}

const by = (q) => (q.by ? ` by ${q.by}` : '') + (q.why ? `: ${q.why}` : '');

function bar(lb) {
  const b = el('div', {});
  b.style.width = lb.backends.length ? `${100 * lb.running / lb.backends.length}%` : '0';
  return b;
}

const clock = (t) => new Date(t).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });

const minute = (t) => new Date(t).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

function styled(node, style) {
  for (const [name, tag] of [['code', 'code'], ['strike', 's'], ['italic', 'em'], ['bold', 'strong']]) {
    if (style?.[name]) node = el(tag, {}, node);
  }
  return node;
}

function inline(e) {
  switch (e.type) {
    case 'link': return styled(el('a', { href: /^https:/.test(e.url) ? e.url : '#', rel: 'noreferrer', target: '_blank' }, e.text ?? e.url), e.style);
    case 'emoji': return emojis[e.name] ?? `:${e.name}:`;
    case 'date': return el('time', { title: e.fallback ?? '' }, when(e.timestamp, e.format));
    case 'user': return el('span', { class: 'mention' }, '@' + e.user_id);
    case 'usergroup': return el('span', { class: 'mention' }, '@' + e.usergroup_id);
    case 'broadcast': return el('span', { class: 'mention' }, '@' + e.range);
    default: return styled(lines(e.text ?? ''), e.style);
  }
}

// lines keeps line breaks.
function lines(text) {
  const span = document.createElement('span');
  text.split('\n').forEach((l, i) => span.append(...(i ? [el('br')] : []), l));
  return span;
}

function when(unix, format) {
  const t = new Date(unix * 1000);
  const time = t.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  if (format === '{time}') return time;
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(t).setHours(0, 0, 0, 0)) / 864e5);
  return `${['today', 'yesterday'][days] ?? t.toLocaleDateString()} ${time}`;
}

// mrkdwn shows what our messages use of it: dates, `code` and *bold*.
function mrkdwn(text) {
  const span = document.createElement('span');
  for (const part of text.split(/(<!date\^\d+\^[^|>]*\|[^>]*>|`[^`\n]+`|\*[^*\n]+\*)/)) {
    const date = part.match(/^<!date\^(\d+)\^([^|>]*)\|/);
    if (date) span.append(when(Number(date[1]), date[2]));
    else if (/^`.+`$/.test(part)) span.append(el('code', {}, part.slice(1, -1)));
    else if (/^\*.+\*$/.test(part)) span.append(el('strong', {}, part.slice(1, -1)));
    else span.append(part.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&'));
  }
  return span;
}

function rich(e) {
  switch (e.type) {
    case 'rich_text_preformatted': return el('pre', {}, ...e.elements.map((x) => x.text ?? ''));
    case 'rich_text_list': return el('ul', {}, ...e.elements.map((x) => el('li', {}, rich(x))));
    default: return el('p', {}, ...e.elements.map(inline));
  }
}

function block(b) {
  switch (b.type) {
    case 'rich_text': return el('div', {}, ...b.elements.map(rich));
    case 'section': return el('p', {}, b.text ? mrkdwn(b.text.text) : '');
    case 'context': return el('p', { class: 'context' }, ...b.elements.map((x) => mrkdwn(x.text ?? '')));
    case 'header': return el('h3', {}, b.text.text);
    case 'divider': return el('hr');
    default: return el('p', {}, `(${b.type})`);
  }
}

function post(p, replies) {
  const m = p.raw;
  const body = [...(m.blocks ?? []).map(block)];
  if (!body.length) body.push(el('p', {}, mrkdwn(m.text ?? '')));
  for (const a of m.attachments ?? []) {
    const box = el('div', { class: 'attachment' }, ...(a.blocks ?? []).map(block));
    if (/^#[0-9a-f]{6}$/i.test(a.color ?? '')) box.style.borderColor = a.color;
    body.push(box);
  }
  return el('li', { class: 'post', 'data-ts': p.ts },
    el('div', { class: 'who' }, p.bot || m.attachments ? 'clbwatch ' : 'somebody ',
      el('span', { class: 'when' }, `#${p.channel} · `, clock(p.at), p.edited ? ' (edited)' : '', p.broadcast ? ' · also shown in the channel' : '')),
    ...body,
    replies.length ? el('ol', { class: 'thread', 'aria-label': `${replies.length} replies` },
      el('li', { class: 'quiet' }, replies.length === 1 ? '1 reply' : `${replies.length} replies`), ...replies.map((r) => post(r, []))) : null);
}

function show(s) {
  document.getElementById('status').textContent = s.live ? 'live: press a button, and see what Slack is told' : 'the story plays in the terminal; the buttons work when it is told';
  document.getElementById('cloud').replaceChildren(...s.balancers.map((lb) => balancer(lb, s.live)));
  const channel = s.posts.filter((p) => !p.thread || p.broadcast).reverse();
  document.getElementById('channel').replaceChildren(...channel.map((p) => post(p, p.thread ? [] : s.posts.filter((r) => r.thread === p.ts))));
  document.getElementById('runs').replaceChildren(...s.runs.map((r) => el('li', { class: r.wrong ? 'wrong' : '' }, `${clock(r.at)}  ${r.what}  ${r.ms} ms  ${r.answer}`)).reverse());
  const now = document.getElementById('clock');
  now.textContent = `it is ${minute(s.now)}`;
  now.dateTime = s.now;
  refused(s.refused);
  const slack = document.getElementById('slack');
  slack.setAttribute('aria-pressed', String(s.slackFails));
  slack.textContent = s.slackFails ? 'Slack fails' : 'Fail Slack';
  slack.disabled = document.getElementById('report').disabled = !s.live;
  const later = document.getElementById('later');
  later.disabled = !s.live || s.minutes > 0;
  later.textContent = s.minutes > 0 ? `${s.minutes} minutes to go` : 'Ten minutes later';
}

// keepFocus shows without taking the focus off the button that was pressed, or off the one in its place.
function keepFocus(s) {
  const label = document.activeElement?.getAttribute('aria-label');
  const spot = document.activeElement?.closest('[data-spot]')?.dataset.spot;
  const lb = document.activeElement?.closest('[data-lb]')?.dataset.lb;
  show(s);
  if (!label) return;
  const same = [...document.querySelectorAll('button')].find((b) => b.getAttribute('aria-label') === label);
  (same ?? document.querySelector(`[data-spot="${CSS.escape(spot ?? '')}"] button`) ?? document.querySelector(`[data-lb="${CSS.escape(lb ?? '')}"] button`))?.focus();
}

document.getElementById('report').addEventListener('click', () => act('report'));
document.getElementById('later').addEventListener('click', () => act('later'));
document.getElementById('slack').addEventListener('click', () => act('failSlack'));
const events = new EventSource('events');
events.onmessage = (e) => keepFocus(JSON.parse(e.data));
events.onerror = () => { document.getElementById('status').textContent = 'the sandbox has ended, or is not to be reached'; };
