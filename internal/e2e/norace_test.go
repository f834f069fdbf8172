//go:build !race

package e2e

// race says that the tests run under the race detector; then the function does too in one place, see raced.
const race = false
