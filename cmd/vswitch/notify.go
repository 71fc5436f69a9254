package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
)

// notify tells the service manager how far we are (sd_notify(3)): systemd starts
// what needs a switch when it is up, not when its process exists. Without a
// manager it does nothing. One that cannot be told is no reason to carry no
// frames.
func notify(log *slog.Logger, state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	err := error(nil)
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") {
		err = fmt.Errorf("NOTIFY_SOCKET %q is neither a path nor abstract", name)
	} else if c, e := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"}); e != nil {
		err = e
	} else {
		_, err = c.Write([]byte(state))
		_ = c.Close()
	}
	if err != nil {
		log.Warn("the service manager was not told", "state", state, "err", err)
	}
}
