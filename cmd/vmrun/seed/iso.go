package seed

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"
)

// The disk is ISO 9660 (ECMA-119) with one directory. In it files have their
// names in capitals, as that standard has them, and as they are by Rock Ridge
// (IEEE P1282), so that all guests find them:
//
//	sector  16  primary volume descriptor (ECMA-119, 8.4)
//	        17  end of the descriptors (8.3)
//	        18  path table, little-endian (9.4)
//	        19  path table, big-endian
//	        20  root directory (9.1)
//	        21  the files, each from a sector's beginning
const (
	sector     = 2048
	firstPath  = 18
	rootSector = 20
	firstFile  = 21

	// Label is what cloud-init looks for.
	Label = "CIDATA"
)

// Image is the disk with the seed's files.
func (s Seed) Image(made time.Time) []byte {
	names := slices.Sorted(maps.Keys(s)) // as a directory is sorted (9.3)
	root := slices.Concat(record("\x00", rootSector, sector, made, rockRidgeRoot()), record("\x01", rootSector, sector, made, attributes(0o040555)))
	var data []byte
	for _, name := range names {
		where := firstFile + len(data)/sector
		// The names of a seed are few and short: the directory is one sector.
		root = append(root, record(strings.ToUpper(name)+".;1", where, len(s[name]), made, append(alternateName(name), attributes(0o100444)...))...)
		data = append(data, pad(s[name], sector)...)
	}
	image := make([]byte, rootSector*sector, firstFile*sector+len(data))
	at := func(n int) []byte { return image[n*sector : (n+1)*sector] }
	volume(at(16), firstFile+len(data)/sector, made)
	copy(at(17), "\xffCD001\x01")
	// One directory: the length of its name, its sector, its parent's number.
	copy(at(firstPath), []byte{1, 0, rootSector, 0, 0, 0, 1, 0, 0, 0})
	copy(at(firstPath+1), []byte{1, 0, 0, 0, 0, rootSector, 0, 1, 0, 0})
	return slices.Concat(image, pad(root, sector), data)
}

// pad fills up to a multiple of n.
func pad(b []byte, n int) []byte {
	return append(slices.Clone(b), make([]byte, (n-len(b)%n)%n)...)
}

// both writes n in both byte orders (7.2.3, 7.3.3), as all numbers here are.
func both32(n int) []byte {
	return binary.BigEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(n)), uint32(n))
}

func both16(n int) []byte {
	return binary.BigEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, uint16(n)), uint16(n))
}

// volume writes the primary volume descriptor.
func volume(b []byte, sectors int, made time.Time) {
	copy(b, "\x01CD001\x01")
	blank := func(from, to int) { // text that is not there is spaces
		for i := from; i < to; i++ {
			b[i] = ' '
		}
	}
	blank(8, 72)
	copy(b[40:], Label)
	copy(b[80:], both32(sectors))
	copy(b[120:], both16(1)) // volumes of the set
	copy(b[124:], both16(1)) // which one this is
	copy(b[128:], both16(sector))
	copy(b[132:], both32(10)) // bytes of a path table
	binary.LittleEndian.PutUint32(b[140:], firstPath)
	binary.BigEndian.PutUint32(b[148:], firstPath+1)
	copy(b[156:190], record("\x00", rootSector, sector, made, nil))
	blank(190, 813)
	now := made.UTC().Format("20060102150405") + "00\x00" // 8.4.26.1
	none := strings.Repeat("0", 16) + "\x00"
	copy(b[813:], now+now+none+none)
	b[881] = 1 // version of the structure
}

// record is one of a directory (9.1). system is what Rock Ridge has to say.
func record(name string, where, size int, made time.Time, system []byte) []byte {
	t := made.UTC()
	flags := byte(0)
	if name == "\x00" || name == "\x01" { // the directory itself, and its parent
		flags = 2
	}
	b := slices.Concat([]byte{0, 0}, both32(where), both32(size),
		[]byte{byte(t.Year() - 1900), byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0, flags, 0, 0},
		both16(1), []byte{byte(len(name))}, []byte(name))
	b = append(pad(b, 2), system...)
	b = pad(b, 2)
	b[0] = byte(len(b))
	return b
}

// entry is one of Rock Ridge's, by SUSP (IEEE P1281, 4.1).
func entry(signature string, body ...[]byte) []byte {
	b := slices.Concat(append([][]byte{[]byte(signature), {0, 1}}, body...)...)
	b[2] = byte(len(b))
	return b
}

// rockRidgeRoot says that Rock Ridge is used: SP and ER (P1281, 5.3 and 5.5).
func rockRidgeRoot() []byte {
	const id = "RRIP_1991A"
	return slices.Concat(entry("SP", []byte{0xbe, 0xef, 0}), attributes(0o040555), entry("ER", []byte{byte(len(id)), 0, 0, 1}, []byte(id)))
}

// attributes is PX (P1282, 4.1.1): mode, links, and root for owner and group.
func attributes(mode int) []byte {
	links := 1
	if mode&0o040000 != 0 {
		links = 2
	}
	return entry("PX", both32(mode), both32(links), both32(0), both32(0))
}

// alternateName is NM (P1282, 4.1.4).
func alternateName(name string) []byte { return entry("NM", []byte{0}, []byte(name)) }
