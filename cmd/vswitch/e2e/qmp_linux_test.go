package e2e

import (
	"encoding/json"
	"net"
	"testing"
	"time"
)

// A monitor is a connection to a guest's QMP socket.
type monitor struct {
	t    *testing.T
	conn net.Conn
	dec  *json.Decoder
}

// openMonitor connects to g's QMP socket, which takes one client at a time.
func openMonitor(g *guest) *monitor {
	g.t.Helper()
	m := &monitor{t: g.t}
	eventually(g.t, g.name+" has a QMP socket", func() (ok bool) {
		var err error
		m.conn, err = net.Dial("unix", g.qmp)
		return err == nil
	})
	g.t.Cleanup(func() { m.conn.Close() })
	m.dec = json.NewDecoder(m.conn)
	m.next() // the greeting
	m.execute("qmp_capabilities")
	return m
}

// message is any line that QEMU sends.
type message struct {
	Return json.RawMessage
	Error  *struct{ Class, Desc string }
	Event  string
}

func (m *monitor) next() message {
	m.t.Helper()
	m.conn.SetReadDeadline(time.Now().Add(patience))
	var msg message
	if err := m.dec.Decode(&msg); err != nil {
		m.t.Fatalf("QMP: %v", err)
	}
	return msg
}

// execute runs a command without arguments and returns its answer.
func (m *monitor) execute(command string) json.RawMessage {
	m.t.Helper()
	return m.executeWith(command, nil)
}

// executeWith runs a command and returns its answer.
func (m *monitor) executeWith(command string, arguments map[string]any) json.RawMessage {
	m.t.Helper()
	call := map[string]any{"execute": command}
	if arguments != nil {
		call["arguments"] = arguments
	}
	if err := json.NewEncoder(m.conn).Encode(call); err != nil {
		m.t.Fatalf("QMP %s: %v", command, err)
	}
	for {
		msg := m.next()
		switch {
		case msg.Error != nil:
			m.t.Fatalf("QMP %s: %s", command, msg.Error.Desc)
		case msg.Event == "":
			return msg.Return
		}
	}
}

// answersIn measures how long QEMU takes to answer a query.
func (m *monitor) answersIn() time.Duration {
	m.t.Helper()
	begin := time.Now()
	m.execute("query-status")
	return time.Since(begin)
}
