// Package lb is what a load balancer is: its backends, how they stand, how much of it serves, and what
// changed between two readings. It imports the standard library only, touches nothing outside, and decides
// nothing about who is notified.
package lb
