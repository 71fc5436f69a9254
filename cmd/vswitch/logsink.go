package main

import (
	"io"
	"log/syslog"
	"sync"
)

// logSink is where the log goes, which changes when a daemon is ready.
type logSink struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (l *logSink) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// toSyslog sends what follows to the system log, or nowhere if there is none.
func (l *logSink) toSyslog() {
	w := io.Discard
	if to, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, ""); err == nil {
		w = to
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w = w
}
