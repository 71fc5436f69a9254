package tap

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/offload"
)

// writer prepares what one system call writes: a virtio_net_hdr, if the device
// wants one, and one frame in pieces.
type writer struct {
	header int
	flow   uint32 // of the frame; only if there is a choice of queues
	hash   bool

	merger offload.Merger
	stage  [offload.HeaderLen + 256]byte // headers that are not in the batch as they go out
	pieces [1 + 256]unix.Iovec
	n      int
}

// fill takes the first frame of refs, and those behind it that can be merged to
// it, and returns how many.
func (w *writer) fill(b *frame.Batch, refs []frame.Ref, merge bool) int {
	if w.hash {
		w.flow = offload.Flow(b.Frame(refs[0]))
	}
	if merge && len(refs) > 1 && w.merger.Start(b, refs[0]) {
		n := 1
		for n < len(refs) && w.merger.Add(b, refs[n]) {
			n++
		}
		if n > 1 {
			w.fillMerged()
			return n
		}
	}
	r := refs[0]
	f, o := b.Frame(r), b.Offload(r)
	clear(w.stage[:w.header])
	if o != nil && w.header > 0 {
		offload.Put(w.stage[:w.header], *o, r.Edit.Len(0))
	}
	head, skip := r.Edit.Head(w.stage[:w.header], f)
	w.n = 0
	w.piece(head)
	w.piece(f[skip:])
	return 1
}

func (w *writer) fillMerged() {
	head, o := w.merger.Finish()
	offload.Put(w.stage[:w.header], o, 0)
	w.n = 0
	w.piece(append(w.stage[:w.header], head...))
	for _, p := range w.merger.Pieces {
		w.piece(p)
	}
}

func (w *writer) piece(p []byte) {
	if len(p) > 0 {
		w.pieces[w.n].Base = unsafe.SliceData(p)
		w.pieces[w.n].SetLen(len(p))
		w.n++
	}
}

// send writes the pieces.
func (w *writer) send(fd int) unix.Errno {
	_, errno := call(unix.SYS_WRITEV, fd, unsafe.Pointer(&w.pieces[0]), w.n)
	return errno
}
