package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"vnetkit/cmd/vswitch/detach"
	"vnetkit/cmd/vswitch/pidfile"
	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
	"vnetkit/switch/plug"
)

// serve runs a switch until ctx ends. It tells who waits for that when everything
// is open.
func serve(ctx context.Context, opt options, caller detach.Caller) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	surviveSignals(opt)
	dir, err := holdDir(opt.dir, opt.vde.dirMode, opt.group)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.release()) }()
	sink := &logSink{w: os.Stderr}
	log := newLog(opt, sink)
	sw, err := newSwitch(opt, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sw.Close()) }()
	if err := openDoors(ctx, sw, opt); err != nil {
		return err
	}
	manager := newManager(sw, opt, log)
	defer reloadOnHangup(ctx, manager)()
	server := mgmt.New(sw, mgmt.Options{
		Name:    filepath.Base(opt.dir),
		Dir:     opt.dir,
		Version: version,
		Commit:  commit,
		Group:   opt.mgmtGroup,
		Config:  manager,
		Log:     log,
	})
	tcp, err := listenTCP(ctx, opt, server, log)
	if err != nil {
		return err
	}
	door, err := openConsole(ctx, sw, opt, log, stop)
	if err != nil {
		return errors.Join(err, tcp.close())
	}
	defer func() { err = errors.Join(err, door.Close()) }()
	pid, err := pidfile.Write(opt.vde.pidfile)
	if err != nil {
		return errors.Join(err, door.ln.Close(), tcp.close())
	}
	defer func() { err = errors.Join(err, pid.Remove()) }()
	// The last of the sockets: who finds it finds the others, too.
	ln, err := listenAPI(ctx, opt)
	if err != nil {
		return errors.Join(err, door.ln.Close(), tcp.close())
	}
	if !opt.quiet {
		welcome(opt)
	}
	tcp.announce(os.Stdout, opt.quiet)
	if caller.Waits() {
		sink.toSyslog()
	}
	if err := caller.Release(opt.config.file == ""); err != nil { // reload needs the present directory
		return errors.Join(fmt.Errorf("go to the background: %w", err), door.ln.Close(), tcp.close(), ln.Close())
	}
	notify(log, "READY=1")
	log.Info("switch is up", "dir", opt.dir, "pid", os.Getpid(), "version", version)
	defer door.start(ctx, opt, stop)()
	err = tcp.serveWith(ctx, func(ctx context.Context) error { return server.Serve(ctx, ln) })
	notify(log, "STOPPING=1")
	log.Info("switch stops")
	return err
}

func newLog(opt options, to io.Writer) *slog.Logger {
	level := slog.LevelInfo
	switch {
	case opt.quiet:
		level = slog.LevelWarn
	case opt.verbose:
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: level}))
}

func newSwitch(opt options, log *slog.Logger) (*vswitch.Switch, error) {
	defaults, err := vswitch.ParsePortConfig(opt.defaults)
	if err != nil {
		return nil, fmt.Errorf("--port-default %s: %w", opt.defaults, err)
	}
	// A worker that comes back from waiting must find a processor free in
	// the Go scheduler, whatever management does at that moment.
	runtime.GOMAXPROCS(max(runtime.NumCPU(), opt.workers) + 2)
	tree := opt.stp.config()
	tree.MAC = opt.vde.mac
	return vswitch.New(vswitch.Options{
		Kinds:   kinds,
		Default: defaults,
		Ageing:  opt.ageing,
		FDBSize: opt.fdbSize,
		MaxPort: opt.vde.numPorts,
		Hub:     opt.hub,
		STP:     tree,
		Workers: opt.workers,
		Spin:    opt.spin,
		Log:     log,
	})
}

// openDoors opens the ports that the command line names, and the switch's own
// doors last, so that who finds them finds the others too.
func openDoors(ctx context.Context, sw *vswitch.Switch, opt options) error {
	specs := opt.ports
	for _, own := range ownDoors(opt) {
		specs = append(specs, own.String())
	}
	for _, spec := range specs {
		if _, err := sw.Add(ctx, spec); err != nil {
			return err
		}
	}
	for _, op := range opt.config.wanted.Statics() {
		if err := sw.AddFDB(op.VID, op.MAC, op.Port); err != nil {
			return err
		}
	}
	return errors.Join(giveToGroup(filepath.Join(opt.dir, api.VhostName), opt.group),
		giveToGroup(filepath.Join(opt.dir, api.StreamName), opt.group))
}

// ownDoors are where clients plug in, in the switch's own directory.
func ownDoors(opt options) []link.Spec {
	mode := link.Opt{Key: "mode", Value: fmt.Sprintf("%04o", opt.mode)}
	vde := link.Spec{Kind: "vde", Addr: opt.dir, Opts: []link.Opt{{Key: "listen", Value: "on"}, mode}}
	if opt.group >= 0 {
		vde.Opts = append(vde.Opts, link.Opt{Key: "group", Value: strconv.Itoa(opt.group)})
	}
	return []link.Spec{vde, {
		Kind: "vhost-user",
		Addr: filepath.Join(opt.dir, api.VhostName),
		Opts: []link.Opt{mode},
	}, {
		Kind: "stream",
		Addr: "unix:" + filepath.Join(opt.dir, api.StreamName),
		Opts: []link.Opt{mode},
	}}
}

func listenAPI(ctx context.Context, opt options) (net.Listener, error) {
	path := filepath.Join(opt.dir, api.SocketName)
	ln, err := plug.ListenUnix(ctx, path, int(opt.mode))
	if err != nil {
		return nil, fmt.Errorf("open api: %w", err)
	}
	if err := giveToGroup(path, opt.group); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

func giveToGroup(path string, gid int) error {
	if gid < 0 {
		return nil
	}
	if err := os.Chown(path, -1, gid); err != nil {
		return fmt.Errorf("give %s to group %d: %w", path, gid, err)
	}
	return nil
}

// welcome says what can be done now.
func welcome(opt options) {
	stream := filepath.Join(opt.dir, api.StreamName)
	fmt.Printf(`switch %s is up
  plug a VM in:  qemu-system-x86_64 ... -netdev stream,id=n0,addr.type=unix,addr.path=%s -device virtio-net-pci,netdev=n0
  look at it:    vnetctl -s %s ports
  stop it:       Ctrl-C, or kill %d
`, filepath.Base(opt.dir), strings.ReplaceAll(stream, ",", ",,"), opt.dir, os.Getpid())
}

// exitCode tells scripts what kind of failure it was; the README lists the codes.
func exitCode(err error) int {
	switch {
	case errors.Is(err, vswitch.ErrInvalid):
		return 2
	case errors.Is(err, fs.ErrPermission):
		return 3
	}
	return 1
}
