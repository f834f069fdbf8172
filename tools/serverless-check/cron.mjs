// Tencent's cron expressions: seven fields, of which the first is seconds and the last is years.
const months = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const weekdays = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];
const fields = [
  { name: 'second', min: 0, max: 59 },
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day', min: 1, max: 31, special: /^(\?|L|\d+W)$/ },
  { name: 'month', min: 1, max: 12, names: months },
  { name: 'weekday', min: 0, max: 6, names: weekdays, special: /^(\?|L|[0-6]L|[0-6]#[1-5])$/ },
  { name: 'year', min: 1970, max: 2099 },
];

// cronFault says what is wrong with an expression, or '' if nothing is.
export function cronFault(expression) {
  if (typeof expression !== 'string') return 'not a text';
  const parts = expression.split(' ');
  if (parts.length !== fields.length) return `${parts.length} fields, not ${fields.length}`;
  for (const [i, field] of fields.entries()) {
    for (const item of parts[i].split(',')) {
      if (!itemFits(item, field)) return `${JSON.stringify(item)} is no ${field.name}`;
    }
  }
  return '';
}

// itemFits knows *, a, a-b and each of them with a step: */n, a/n, a-b/n.
function itemFits(item, { min, max, names = [], special }) {
  if (special?.test(item)) return true;
  const match = item.match(/^(?:\*|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/);
  if (!match) return false;
  const number = text => (names.includes(text) ? names.indexOf(text) + min : /^\d+$/.test(text) ? Number(text) : NaN);
  const [, from = String(min), to = String(max), step = '1'] = match;
  return number(from) >= min && number(from) <= number(to) && number(to) <= max && Number(step) >= 1;
}
