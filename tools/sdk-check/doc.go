// Package sdkcheck holds signatures of API 3.0 against an SDK that shares nothing with ours, Tencent's own on
// npm: those of the built function, and the sandbox's verdict on those of others. It has no code but a test,
// which the script check beside it runs, and refuses to reach beyond 127.0.0.1.
package sdkcheck
