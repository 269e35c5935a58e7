// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// shapes are functions that begin, or return, in ways that differ in what a
// probe costs there.
const shapes = `
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SHAPE(name, code) asm(".text; .p2align 4; .globl " #name "; .type " #name ",@function; " #name ": " \
	code " .size " #name ",.-" #name); extern void name(void);
SHAPE(push, "push %rbx; pop %rbx; ret;")
SHAPE(nop1, ".byte 0x90; ret;")
SHAPE(nop5, ".byte 0x0f,0x1f,0x44,0x00,0x00; ret;")
SHAPE(endbr64, ".byte 0xf3,0x0f,0x1e,0xfa; ret;")
SHAPE(sub, "sub $0x18,%rsp; add $0x18,%rsp; ret;")
SHAPE(mov, "mov %rsp,%rax; ret;")
SHAPE(ret, "ret;")
SHAPE(jmp, "jmp 1f; 1: ret;")
SHAPE(call, "call 1f; ret; 1: ret;")

static const struct { const char *name; void (*call)(void); } all[] = {
	{"push", push}, {"nop1", nop1}, {"nop5", nop5}, {"endbr64", endbr64}, {"sub", sub},
	{"mov", mov}, {"ret", ret}, {"jmp", jmp}, {"call", call},
};

int main(void)
{
	char name[32];
	int n;
	while (scanf("%31s %d", name, &n) == 2)
		for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
			struct timespec a, b;
			if (strcmp(all[i].name, name))
				continue;
			clock_gettime(CLOCK_MONOTONIC, &a);
			for (int j = 0; j < n; j++)
				all[i].call();
			clock_gettime(CLOCK_MONOTONIC, &b);
			printf("%ld\n", (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec);
			fflush(stdout);
		}
	return 0;
}
`

// BenchmarkHit gives what a probe costs the traced program, in ns a call: by
// the instruction that it is placed on and the kind of link, with a program
// that does nothing.
func BenchmarkHit(b *testing.B) {
	if runtime.GOARCH != "amd64" || os.Getuid() != 0 {
		b.Skip("missing: root on amd64")
	}
	dir := b.TempDir()
	source, binary := filepath.Join(dir, "shapes.c"), filepath.Join(dir, "shapes")
	if err := os.WriteFile(source, []byte(shapes), 0o600); err != nil {
		b.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-O2", "-o", binary, source).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	ex, err := link.OpenExecutable(binary)
	if err != nil {
		b.Fatal(err)
	}
	type attachment struct {
		name   string
		kind   ebpf.AttachType
		attach func(*ebpf.Program, string) (link.Link, error)
	}
	attachments := []attachment{
		{"entry", 0, func(p *ebpf.Program, symbol string) (link.Link, error) { return ex.Uprobe(symbol, p, nil) }},
		{"return", 0, func(p *ebpf.Program, symbol string) (link.Link, error) { return ex.Uretprobe(symbol, p, nil) }},
		{"multi-entry", ebpf.AttachTraceUprobeMulti, func(p *ebpf.Program, symbol string) (link.Link, error) {
			return ex.UprobeMulti([]string{symbol}, p, nil)
		}},
		{"multi-return", ebpf.AttachTraceUprobeMulti, func(p *ebpf.Program, symbol string) (link.Link, error) {
			return ex.UretprobeMulti([]string{symbol}, p, nil)
		}},
	}
	for _, symbol := range []string{"push", "nop1", "nop5", "endbr64", "sub", "mov", "ret", "jmp", "call"} {
		target := exec.Command(binary)
		in, err := target.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		out, err := target.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := target.Start(); err != nil {
			b.Fatal(err)
		}
		lines := bufio.NewReader(out)
		measure := func() float64 {
			const calls, rounds = 20000, 5
			var each []float64
			for range rounds {
				var ns float64
				if _, err := fmt.Fprintln(in, symbol, calls); err != nil {
					b.Fatal(err)
				}
				if _, err := fmt.Fscanln(lines, &ns); err != nil {
					b.Fatal(err)
				}
				each = append(each, ns/calls)
			}
			slices.Sort(each)
			return each[rounds/2]
		}
		for _, combination := range [][]string{{}, {"entry"}, {"multi-entry"}, {"entry", "return"}, {"multi-return", "multi-entry"}} {
			name := symbol
			for _, c := range combination {
				name += "/" + c
			}
			b.Run(name, func(b *testing.B) {
				for _, c := range combination {
					a := attachments[slices.IndexFunc(attachments, func(a attachment) bool { return a.name == c })]
					p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
						Type: ebpf.Kprobe, AttachType: a.kind, License: "GPL",
						Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
					})
					if err != nil {
						b.Skipf("not on this kernel: %v", err)
					}
					defer p.Close()
					l, err := a.attach(p, symbol)
					if err != nil {
						b.Skipf("not on this kernel: %v", err)
					}
					defer l.Close()
				}
				for b.Loop() {
					b.ReportMetric(measure(), "ns/call")
				}
				b.ReportMetric(0, "ns/op") // says nothing here
			})
		}
		in.Close()
		io.Copy(io.Discard, out)
		target.Wait()
	}
}
