// Package e2e tests the guarantees of docs/design.md on the built function: the real binary, called over the
// real protocol, in the sandbox. It has no code of its own and refuses to look inside the function: what
// counts is what Slack got.
package e2e
