package sandbox

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// WriteHTML answers with a gateway's page.
func WriteHTML(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w,
		"<html><head><title>%d</title></head><body><center><h1>gateway</h1></center></body></html>\n", status)
}

// Pause waits, and reports false if ctx ended first.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Hang holds the connection until the client drops it.
func Hang(r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// Reset ends the connection with a TCP reset, or as near to it as the server allows.
func Reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the client sees an end of file, which is as bad
	}
	_ = conn.Close()
}
