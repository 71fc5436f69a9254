package vhost

import (
	"encoding/binary"
	"fmt"
)

// request is what the front end asks for. Its numbers, and the layout of
// everything in this file, are those of QEMU's docs/interop/vhost-user.rst.
type request uint32

const (
	getFeatures         request = 1
	setFeatures         request = 2
	setOwner            request = 3
	resetOwner          request = 4
	setMemTable         request = 5
	setLogBase          request = 6
	setLogFD            request = 7
	setVringNum         request = 8
	setVringAddr        request = 9
	setVringBase        request = 10
	getVringBase        request = 11
	setVringKick        request = 12
	setVringCall        request = 13
	setVringErr         request = 14
	getProtocolFeatures request = 15
	setProtocolFeatures request = 16
	getQueueNum         request = 17
	setVringEnable      request = 18
	sendRARP            request = 19
	netSetMTU           request = 20
	getMaxMemSlots      request = 36
	addMemReg           request = 37
	remMemReg           request = 38
	setStatus           request = 39
	getStatus           request = 40
)

var requestNames = map[request]string{
	getFeatures: "GET_FEATURES", setFeatures: "SET_FEATURES", setOwner: "SET_OWNER", resetOwner: "RESET_OWNER",
	setMemTable: "SET_MEM_TABLE", setLogBase: "SET_LOG_BASE", setLogFD: "SET_LOG_FD",
	setVringNum: "SET_VRING_NUM", setVringAddr: "SET_VRING_ADDR", setVringBase: "SET_VRING_BASE", getVringBase: "GET_VRING_BASE",
	setVringKick: "SET_VRING_KICK", setVringCall: "SET_VRING_CALL", setVringErr: "SET_VRING_ERR", setVringEnable: "SET_VRING_ENABLE",
	getProtocolFeatures: "GET_PROTOCOL_FEATURES", setProtocolFeatures: "SET_PROTOCOL_FEATURES", getQueueNum: "GET_QUEUE_NUM",
	sendRARP: "SEND_RARP", netSetMTU: "NET_SET_MTU",
	getMaxMemSlots: "GET_MAX_MEM_SLOTS", addMemReg: "ADD_MEM_REG", remMemReg: "REM_MEM_REG",
	setStatus: "SET_STATUS", getStatus: "GET_STATUS",
}

// String is r's name in the specification.
func (r request) String() string {
	if name, ok := requestNames[r]; ok {
		return name
	}
	return fmt.Sprintf("request %d", uint32(r))
}

// Flags of a message.
const (
	flagVersion     = 1 // in the lowest two bits
	flagVersionMask = 3
	flagReply       = 1 << 2
	flagNeedReply   = 1 << 3
)

const (
	headerLen = 12
	// maxPayload is more than the longest message has that this side knows: a
	// memory table of 8 regions.
	maxPayload = 1024
	// maxFDs is how many descriptors come with a message at most: one for each
	// region of a memory table.
	maxFDs = 8
)

// header starts every message.
type header struct {
	request request
	flags   uint32
	size    uint32 // of what follows
}

func parseHeader(b []byte) (header, error) {
	h := header{
		request: request(binary.NativeEndian.Uint32(b)),
		flags:   binary.NativeEndian.Uint32(b[4:]),
		size:    binary.NativeEndian.Uint32(b[8:]),
	}
	switch {
	case h.flags&flagVersionMask != flagVersion:
		return h, fmt.Errorf("message with flags %#x is not vhost-user version 1 (what is the other side?)", h.flags)
	case h.flags&flagReply != 0:
		return h, fmt.Errorf("%v is a reply, to nothing that was asked", h.request)
	case h.size > maxPayload:
		return h, fmt.Errorf("%v of %d bytes, want at most %d", h.request, h.size, maxPayload)
	}
	return h, nil
}

// reply is the answer to h: its payload behind a header.
func (h header) reply(payload []byte) []byte {
	b := make([]byte, headerLen, headerLen+len(payload))
	binary.NativeEndian.PutUint32(b, uint32(h.request))
	binary.NativeEndian.PutUint32(b[4:], flagVersion|flagReply)
	binary.NativeEndian.PutUint32(b[8:], uint32(len(payload)))
	return append(b, payload...)
}

// payload reads a message's content from front to back. The first thing that is
// missing is remembered.
type payload struct {
	rest  []byte
	short bool
}

func (p *payload) u64() uint64 {
	if len(p.rest) < 8 {
		p.short = true
		return 0
	}
	v := binary.NativeEndian.Uint64(p.rest)
	p.rest = p.rest[8:]
	return v
}

func (p *payload) u32() uint32 {
	if len(p.rest) < 4 {
		p.short = true
		return 0
	}
	v := binary.NativeEndian.Uint32(p.rest)
	p.rest = p.rest[4:]
	return v
}

// done says what is wrong with the length, if anything is.
func (p *payload) done() error {
	switch {
	case p.short:
		return fmt.Errorf("it is too short")
	case len(p.rest) > 0:
		return fmt.Errorf("it has %d bytes too many", len(p.rest))
	}
	return nil
}

func u64Bytes(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }

// vringState is a ring's number and something of it: its size, its base or
// whether it is enabled.
type vringState struct{ index, num uint32 }

func parseVringState(b []byte) (s vringState, err error) {
	p := payload{rest: b}
	s = vringState{p.u32(), p.u32()}
	return s, p.done()
}

func (s vringState) bytes() []byte {
	return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, s.index), s.num)
}

// vringAddr says where a ring lies, in the front end's own addresses.
type vringAddr struct {
	index, flags            uint32
	desc, used, avail, dlog uint64
}

const vringFlagLog = 1 // changes of the used ring go to the log, from address dlog on

func parseVringAddr(b []byte) (a vringAddr, err error) {
	p := payload{rest: b}
	a = vringAddr{p.u32(), p.u32(), p.u64(), p.u64(), p.u64(), p.u64()}
	return a, p.done()
}

// vringFile says which ring the descriptor beside it is for.
type vringFile struct {
	index uint32
	none  bool // there is no descriptor
}

func parseVringFile(b []byte) (f vringFile, err error) {
	p := payload{rest: b}
	v := p.u64()
	return vringFile{uint32(v & 0xff), v&0x100 != 0}, p.done()
}

// memRegion is a piece of the guest's memory, and where it is in a file.
type memRegion struct {
	guest, size, user, offset uint64
}

func (p *payload) region() memRegion { return memRegion{p.u64(), p.u64(), p.u64(), p.u64()} }

func parseMemTable(b []byte) (list []memRegion, err error) {
	p := payload{rest: b}
	n := p.u32()
	_ = p.u32() // padding
	if n > maxFDs {
		return nil, fmt.Errorf("%d regions, want at most %d", n, maxFDs)
	}
	for range n {
		list = append(list, p.region())
	}
	// Front ends may send the whole table, used or not.
	if !p.short {
		p.rest = nil
	}
	return list, p.done()
}

func parseMemReg(b []byte) (r memRegion, err error) {
	p := payload{rest: b}
	_ = p.u64() // padding
	r = p.region()
	return r, p.done()
}

func parseU64(b []byte) (v uint64, err error) {
	p := payload{rest: b}
	v = p.u64()
	return v, p.done()
}
