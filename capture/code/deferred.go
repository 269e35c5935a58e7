// SPDX-License-Identifier: Apache-2.0

package code

import (
	"cmp"
	"debug/elf"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// GoDeferred is a function that a Go function defers, and which some of its
// returns run before they return: a probe on it is a probe on all of those, and
// costs less where its code begins with what the kernel emulates. Distances are
// in octets from the stack pointer of the function that defers, less than 16 KiB;
// its frame pointer leads to the word below its return address as usual.
type GoDeferred struct {
	Function int    // where its code begins, from the beginning of that of the one that defers
	Closure  uint64 // distance of its closure, to which RDX points
	Result   uint64 // distance of the first result, which is there already
	Returns  []uint64
}

// maxGoFrame bounds the frame of a function that defers, in octets.
const maxGoFrame = 16 << 10

// DeferredGo finds what a Go function defers, those first that the most returns
// run. b is its code. Only x86-64 since Go 1.21 is understood.
//
// The compiler places such calls in the function itself (open-coded defers): at
// a return it stores the results in the frame, takes the address of a closure
// from there, calls it, and loads the results. Proven is that the place of the
// closure's address never has another one; that the closure's code is the
// function that is told of; and that each of Returns is reached by way of such a
// call alone, and what it returns is read where Result says behind it.
//
// A panic runs the function too, from elsewhere: then the word above the return
// address is not where the frame that has the closure begins.
func DeferredGo(machine elf.Machine, b []byte) []GoDeferred {
	body, ok := GoBody(machine, b)
	if !ok || machine != elf.EM_X86_64 {
		return nil
	}
	f := goFrame{closures: make(map[int64]int), addresses: make(map[int64]int64), exits: make(map[int64]*goExits)}
	if !f.read(b, int(body)) || !f.framed() {
		return nil
	}
	f.findStores()
	if !f.findExits() {
		return nil
	}
	var all []GoDeferred
	for at, e := range f.exits {
		closure, known := f.addresses[at]
		function, is := f.closures[closure]
		if known && is && f.inFrame(closure) && f.inFrame(e.result) && !f.differs(at, closure) {
			slices.Sort(e.returns)
			all = append(all, GoDeferred{function, uint64(closure), uint64(e.result), e.returns})
		}
	}
	slices.SortFunc(all, func(x, y GoDeferred) int {
		return cmp.Or(len(y.Returns)-len(x.Returns), cmp.Compare(x.Closure, y.Closure))
	})
	return all
}

// goFrame is what is known of a function and its frame.
type goFrame struct {
	code  []goInstruction // what can be reached from the body, in rising order
	size  int64           // what the stack pointer is lowered by for locals
	known map[int]bool    // instructions, by index, that findStores and findExits have understood
	// closures has, for places in the frame, whose code the function's address
	// is that is stored there; addresses, which place in the frame the address
	// is of that is stored there.
	closures  map[int64]int
	addresses map[int64]int64
	exits     map[int64]*goExits // by the place that has the closure's address
}

type goInstruction struct {
	x86asm.Inst
	instruction
	at     int
	target bool // of a jump
}

// goExits are the returns that run one closure.
type goExits struct {
	returns []uint64
	result  int64 // where all of them read the first result; -1 where that is not known
}

func (f *goFrame) read(b []byte, body int) bool {
	targets := make(map[int]bool)
	ok := reachable(elf.EM_X86_64, b, body, func(at int, in instruction) bool {
		decoded, err := x86asm.Decode(b[at:], 64)
		if err != nil {
			decoded = x86asm.Inst{} // with a VEX prefix
		}
		if in.flow == flowBranch || in.flow == flowJump {
			targets[in.to] = true
		}
		f.code = append(f.code, goInstruction{Inst: decoded, instruction: in, at: at})
		return in.flow != flowHidden
	})
	slices.SortFunc(f.code, func(x, y goInstruction) int { return x.at - y.at })
	kept := f.code[:0]
	for _, in := range f.code {
		in.target = targets[in.at]
		// One that does nothing is taken for a part of the one before it.
		if n := len(kept); n > 0 && in.Op == x86asm.NOP && !in.target && kept[n-1].flow == flowNext && kept[n-1].at+kept[n-1].size == in.at {
			kept[n-1].size += in.size
			continue
		}
		kept = append(kept, in)
	}
	f.code = kept
	return ok
}

// framed says that the function makes its frame first and keeps stack and frame
// pointer until it returns.
func (f *goFrame) framed() bool {
	const prologue = 3
	if len(f.code) < prologue || f.code[0].Op != x86asm.PUSH || f.code[0].Args[0] != x86asm.RBP || f.code[0].target ||
		!f.follows(1) || !f.code[1].is(x86asm.MOV, x86asm.RBP, x86asm.RSP) ||
		!f.follows(2) || f.code[2].Op != x86asm.SUB || f.code[2].Args[0] != x86asm.RSP {
		return false
	}
	size, ok := f.code[2].Args[1].(x86asm.Imm)
	f.size = int64(size)
	for i := prologue; i < len(f.code); i++ {
		in := &f.code[i]
		dst, _, isRegister := register(in.Args[0])
		switch {
		case in.Op == x86asm.ADD && in.Args[0] == x86asm.RSP && in.Args[1] == size:
		case in.Op == x86asm.POP && in.Args[0] == x86asm.RBP:
		case in.Op == x86asm.CMP, in.Op == x86asm.TEST:
		case in.Op == x86asm.PUSH, in.Op == x86asm.POP, in.Op == x86asm.LEAVE, in.Op == x86asm.ENTER,
			isRegister && (dst == rsp || dst == rbp):
			return false
		}
	}
	return ok && size > 0 && size <= maxGoFrame
}

// inFrame says that a word lies in the frame.
func (f *goFrame) inFrame(at int64) bool { return at >= 0 && at%8 == 0 && at < f.size }

func (in *goInstruction) is(op x86asm.Op, dst, src x86asm.Arg) bool {
	return in.Op == op && in.Args[0] == dst && in.Args[1] == src
}

// follows says that an instruction is reached from the one before it alone.
func (f *goFrame) follows(i int) bool {
	if i < 1 || i >= len(f.code) {
		return false
	}
	before := &f.code[i-1]
	return before.flow == flowNext && before.at+before.size == f.code[i].at && !f.code[i].target
}

// place gives the distance from the stack pointer that an operand of 8 octets
// is at.
func (in *goInstruction) place(arg x86asm.Arg) (int64, bool) {
	m, ok := arg.(x86asm.Mem)
	return m.Disp, ok && m.Base == x86asm.RSP && m.Index == 0 && m.Segment == 0 && in.MemBytes == 8
}

// findStores finds addresses that are taken and at once stored in the frame.
func (f *goFrame) findStores() {
	f.known = make(map[int]bool)
	for i := 1; i < len(f.code); i++ {
		lea, mov := &f.code[i-1], &f.code[i]
		at, ok := mov.place(mov.Args[0])
		from, isMemory := lea.Args[1].(x86asm.Mem)
		if lea.Op != x86asm.LEA || mov.Op != x86asm.MOV || !ok || !isMemory || lea.Args[0] != mov.Args[1] || !f.follows(i) ||
			from.Index != 0 {
			continue
		}
		switch from.Base {
		case x86asm.RIP:
			to := lea.at + lea.size + int(from.Disp)
			if before, ok := f.closures[at]; !ok || before == to {
				f.closures[at] = to
				f.known[i-1], f.known[i] = true, true
			}
		case x86asm.RSP:
			if before, ok := f.addresses[at]; !ok || before == from.Disp {
				f.addresses[at] = from.Disp
				f.known[i-1], f.known[i] = true, true
			}
		}
	}
}

// differs says that something else than what was found, or a zero before it, may
// be stored where a closure or its address is, or read there.
func (f *goFrame) differs(address, closure int64) bool {
	for i := range f.code {
		in := &f.code[i]
		if f.known[i] || in.Args[1] == x86asm.X15 { // Go's register for zero
			continue
		}
		for _, arg := range in.Args {
			m, ok := arg.(x86asm.Mem)
			if !ok || m.Base != x86asm.RSP {
				continue
			}
			size := max(in.MemBytes, 1) // LEA has none
			if m.Index != 0 || overlaps(m.Disp, size, closure) || overlaps(m.Disp, size, address) {
				return true
			}
		}
	}
	return false
}

func overlaps(at int64, size int, word int64) bool { return at < word+8 && word < at+int64(size) }

// findExits finds the calls of closures by their addresses in the frame. False:
// one of them is not followed by its own return at once.
func (f *goFrame) findExits() bool {
	for i := range f.code {
		at, ok := f.calls(i)
		if !ok {
			continue
		}
		end, result, ok := f.exit(i)
		if !ok {
			return false
		}
		f.known[i-2] = true
		e := f.exits[at]
		if e == nil {
			e = &goExits{result: result}
			f.exits[at] = e
		}
		if e.result != result || slices.Contains(e.returns, uint64(end)) {
			e.result = -1
		}
		e.returns = append(e.returns, uint64(end))
	}
	return true
}

// calls says that the instruction is a call of a closure, and which place in the
// frame has its address: MOVQ at(SP), DX; MOVQ 0(DX), R; CALL R.
func (f *goFrame) calls(i int) (at int64, ok bool) {
	if i < 2 || f.code[i].Op != x86asm.CALL || !f.follows(i) || !f.follows(i-1) {
		return 0, false
	}
	closure, code := &f.code[i-2], &f.code[i-1]
	at, ok = closure.place(closure.Args[1])
	m, isMemory := code.Args[1].(x86asm.Mem)
	return at, ok && closure.Op == x86asm.MOV && closure.Args[0] == x86asm.RDX && code.Op == x86asm.MOV &&
		isMemory && m.Base == x86asm.RDX && m.Index == 0 && m.Disp == 0 && m.Segment == 0 && code.MemBytes == 8 &&
		f.code[i].Args[0] == code.Args[0]
}

// exit follows the code behind a call of a closure up to the return, and gives
// where that is and where it reads the first result.
func (f *goFrame) exit(call int) (end int, result int64, ok bool) {
	result = -1
	var stored []*goInstruction
	for i := call + 1; f.follows(i); i++ {
		in := &f.code[i]
		dst, whole, isRegister := register(in.Args[0])
		from, isPlace := in.place(in.Args[1])
		_, isMemory := in.Args[0].(x86asm.Mem)
		switch {
		case in.flow == flowReturn:
			return in.at, result, result >= 0 && !slices.ContainsFunc(stored, func(in *goInstruction) bool {
				m := in.Args[0].(x86asm.Mem)
				return m.Base != x86asm.RSP || m.Index != 0 || overlaps(m.Disp, in.MemBytes, result)
			})
		case in.call:
			if _, ok := f.calls(i); !ok {
				return 0, 0, false
			}
			result = -1
		case in.Op == x86asm.MOV && isMemory: // which defers are still to be run
			stored = append(stored, in)
		case in.Op == x86asm.MOV && isRegister && dst == rax:
			result = -1
			if whole && isPlace {
				result = from
			}
		case in.Op == x86asm.NOP, in.Op == x86asm.POP, in.Op == x86asm.ADD && in.Args[0] == x86asm.RSP,
			in.Op == x86asm.MOV && isRegister, in.Op == x86asm.XOR && isRegister && dst != rax:
		default:
			return 0, 0, false
		}
	}
	return 0, 0, false
}
