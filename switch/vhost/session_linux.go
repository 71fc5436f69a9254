package vhost

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// errGone is the end of a Link whose front end has hung up.
var errGone = fmt.Errorf("the front end has hung up: %w", io.EOF)

// replyTime is how long a front end may leave an answer unread.
const replyTime = 10 * time.Second

// session is the conversation with a front end. It runs in a goroutine of its
// own, the only one that uses what is in here, and that changes a Link.
type session struct {
	l        *Link
	protocol uint64 // features that both sides have
	status   uint64 // what the front end has noted as the device's
	head     [headerLen]byte
	body     [maxPayload]byte
	fds      []int // that came with the present message and that nobody has taken
}

// run answers messages until one side hangs up.
func (s *session) run() {
	defer close(s.l.done)
	for {
		h, err := s.receive()
		if err == nil {
			err = s.answer(h)
		}
		s.dropFDs()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				err = io.EOF
			}
			s.l.finish(err)
			return
		}
	}
}

// receive waits for a message. Descriptors may come with any byte of it.
func (s *session) receive() (h header, err error) {
	if err := s.read(s.head[:], true); err != nil {
		return h, err
	}
	if h, err = parseHeader(s.head[:]); err != nil {
		return h, err
	}
	return h, s.read(s.body[:h.size], false)
}

// read fills b. Only where a message begins may the other side hang up.
func (s *session) read(b []byte, begin bool) error {
	oob := make([]byte, unix.CmsgSpace(maxFDs*4))
	for got := 0; got < len(b); {
		n, oobn, flags, _, err := s.l.conn.ReadMsgUnix(b[got:], oob)
		if e := s.takeFDs(oob[:oobn], flags); e != nil {
			return e
		}
		switch {
		case err == nil && n > 0:
			got += n
		case (err == nil || errors.Is(err, io.EOF)) && begin && got == 0:
			return io.EOF
		case err == nil || errors.Is(err, io.EOF):
			return fmt.Errorf("hung up in the middle of a message: %w", io.ErrUnexpectedEOF)
		case errors.Is(err, unix.ECONNRESET):
			return io.EOF
		default:
			return fmt.Errorf("read message: %w", err)
		}
	}
	return nil
}

// takeFDs keeps the descriptors that came with some bytes.
func (s *session) takeFDs(oob []byte, flags int) error {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("read descriptors: %w", err)
	}
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err == nil {
			s.fds = append(s.fds, fds...)
		}
	}
	if flags&unix.MSG_CTRUNC != 0 || len(s.fds) > maxFDs {
		return fmt.Errorf("a message with more than %d descriptors, or more than this process may open", maxFDs)
	}
	return nil
}

// dropFDs closes what nobody has taken.
func (s *session) dropFDs() {
	for _, fd := range s.fds {
		unix.Close(fd)
	}
	s.fds = s.fds[:0]
}

// refusal is an error that the front end is told of, and lives on.
type refusal struct{ error }

// answer does what h asks for.
func (s *session) answer(h header) error {
	body := s.body[:h.size]
	reply, err := s.ask(h.request, body)
	if err == nil && reply == nil {
		reply, err = nil, s.change(h.request, body)
	}
	var soft refusal
	if err != nil && !errors.As(err, &soft) {
		err = fmt.Errorf("%v: %w", h.request, err)
	}
	acks := s.protocol&protoReplyAck != 0 && h.flags&flagNeedReply != 0
	switch {
	case reply != nil:
	case acks && err != nil:
		reply = u64Bytes(1)
	case acks:
		reply = u64Bytes(0)
	}
	if reply != nil {
		if e := s.send(h.reply(reply)); err == nil {
			err = e
		}
	}
	if errors.As(err, &soft) {
		return nil
	}
	return err
}

func (s *session) send(msg []byte) error {
	if err := s.l.conn.SetWriteDeadline(time.Now().Add(replyTime)); err != nil {
		return err
	}
	if _, err := s.l.conn.Write(msg); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// ask answers requests that are questions. For all others it returns nothing.
func (s *session) ask(q request, body []byte) (reply []byte, err error) {
	l := s.l
	switch q {
	case getFeatures:
		return u64Bytes(l.opt.features()), nil
	case getProtocolFeatures:
		return u64Bytes(protoOffered), nil
	case getQueueNum:
		return u64Bytes(uint64(l.opt.queues)), nil
	case getMaxMemSlots:
		return u64Bytes(maxRegions), nil
	case getStatus:
		return u64Bytes(s.status), nil
	case getVringBase:
		st, err := parseVringState(body)
		if err != nil {
			return nil, err
		}
		r, err := l.ring(st.index)
		if err != nil {
			return nil, err
		}
		l.change(func() {
			st.num = r.stop()
			l.hangUp(r)
		})
		return st.bytes(), nil
	case setLogBase:
		if err := s.setLog(body); err != nil {
			return nil, err
		}
		return u64Bytes(0), nil
	}
	return nil, nil
}

// change does what requests ask for that are no questions.
func (s *session) change(q request, body []byte) error {
	switch q {
	case setFeatures, setProtocolFeatures, setStatus, netSetMTU, sendRARP:
		v, err := parseU64(body)
		if err != nil {
			return err
		}
		return s.setValue(q, v)
	case setOwner, setLogFD, setVringErr:
		return nil // there is nothing to do: descriptors are closed again
	case resetOwner:
		s.reset()
		return nil
	case setMemTable, addMemReg, remMemReg:
		return s.setMemory(q, body)
	case setVringNum, setVringBase, setVringEnable:
		st, err := parseVringState(body)
		if err != nil {
			return err
		}
		return s.setRing(q, st)
	case setVringAddr:
		a, err := parseVringAddr(body)
		if err != nil {
			return err
		}
		return s.setAddr(a)
	case setVringKick, setVringCall:
		f, err := parseVringFile(body)
		if err != nil {
			return err
		}
		return s.setFile(q, f)
	}
	// Nothing of the kind was offered.
	return refusal{fmt.Errorf("%v is unknown", q)}
}

// setValue does what is asked for with one number.
func (s *session) setValue(q request, v uint64) error {
	l := s.l
	switch q {
	case setFeatures:
		if over := v &^ l.opt.features(); over != 0 {
			return fmt.Errorf("features %#x were not offered", over)
		}
		return l.tryChange(func() error { return l.setFeatures(v) })
	case setProtocolFeatures:
		if over := v &^ protoOffered; over != 0 {
			return fmt.Errorf("protocol features %#x were not offered", over)
		}
		s.protocol = v
	case setStatus:
		s.status = v & 0xff
		if v == 0 {
			s.reset()
		}
	case netSetMTU:
		if v < 68 || v > 65535 || l.opt.mtu != 0 && v > uint64(l.opt.mtu) {
			return refusal{fmt.Errorf("an MTU of %d", v)}
		}
	case sendRARP:
		f := announcement(v)
		l.notices.Store(&f)
		l.news.ring()
	}
	return nil
}

// reset stops all rings, as a device's reset does. Where they ended is kept: QEMU
// 7.2 resets a device whose VM pauses or leaves, and asks for that afterwards.
func (s *session) reset() {
	s.l.change(func() {
		for _, r := range s.l.rings {
			r.stop()
			s.l.hangUp(r)
			r.enabled = false
		}
	})
}
