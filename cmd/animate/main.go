// Command animate puts pictures one after the other into an animated GIF, and one below the other into a PNG
// for people who would rather see nothing move.
//
//	animate NAME TIME PICTURE.png [TIME PICTURE.png ...]
//
// It writes NAME.gif, in which each picture is shown for the time before it, again and again, and NAME.png.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/png"
	"io"
	"maps"
	"os"
	"slices"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "animate:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 || len(args)%2 == 0 {
		return errors.New("usage: animate NAME TIME PICTURE.png [TIME PICTURE.png ...]")
	}
	var pictures []image.Image
	var times []time.Duration
	for a := range slices.Chunk(args[1:], 2) {
		d, err := time.ParseDuration(a[0])
		if err != nil {
			return err
		}
		p, err := read(a[1])
		if err != nil {
			return err
		}
		pictures, times = append(pictures, p), append(times, d)
	}
	moving := animate(pictures, times)
	if err := write(args[0]+".gif", func(w io.Writer) error { return gif.EncodeAll(w, moving) }); err != nil {
		return err
	}
	still := stack(pictures)
	return write(args[0]+".png", func(w io.Writer) error {
		return (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(w, still)
	})
}

func read(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := png.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return p, nil
}

func write(path string, encode func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := encode(f); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), f.Close())
	}
	return f.Close()
}

// animate shows each picture for its time. All frames are as large as the largest picture: smaller ones have
// white below them.
func animate(pictures []image.Image, times []time.Duration) *gif.GIF {
	var size image.Point
	for _, p := range pictures {
		size.X, size.Y = max(size.X, p.Bounds().Dx()), max(size.Y, p.Bounds().Dy())
	}
	var g gif.GIF
	for i, p := range pictures {
		g.Image = append(g.Image, paletted(size, p))
		g.Delay = append(g.Delay, int(times[i]/(10*time.Millisecond)))
	}
	return &g
}

// stack is the pictures one below the other.
func stack(pictures []image.Image) image.Image {
	var size image.Point
	for _, p := range pictures {
		size.X, size.Y = max(size.X, p.Bounds().Dx()), size.Y+p.Bounds().Dy()
	}
	return paletted(size, pictures...)
}

// outline draws a thin grey line around it, so that its white does not get lost on a white page.
func outline(canvas draw.Image) {
	all := canvas.Bounds()
	within := all.Inset(2)
	grey := image.NewUniform(color.Gray{Y: 0xd0})
	for _, side := range []image.Rectangle{
		{all.Min, image.Pt(all.Max.X, within.Min.Y)},
		{image.Pt(all.Min.X, within.Max.Y), all.Max},
		{all.Min, image.Pt(within.Min.X, all.Max.Y)},
		{image.Pt(within.Max.X, all.Min.Y), all.Max},
	} {
		draw.Draw(canvas, side, grey, image.Point{}, draw.Src)
	}
}

// paletted draws the pictures on white, one below the other, in the 256 colours that most of their pixels
// have. For what is nearly all text that is as good as the original, and a fifth of its size. The other
// colours become the nearest of these: dots of two colours beside each other would show.
func paletted(size image.Point, pictures ...image.Image) *image.Paletted {
	canvas := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(canvas, canvas.Bounds(), image.White, image.Point{}, draw.Src)
	at := image.Point{}
	for _, p := range pictures {
		draw.Draw(canvas, p.Bounds().Sub(p.Bounds().Min).Add(at), p, p.Bounds().Min, draw.Over)
		at.Y += p.Bounds().Dy()
	}
	outline(canvas)

	pixels := make(map[color.RGBA]int)
	for y := range size.Y {
		for x := range size.X {
			pixels[canvas.RGBAAt(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(pixels), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(pixels[b], pixels[a]),
			cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var p color.Palette
	for _, c := range colours[:min(len(colours), 256)] {
		p = append(p, c)
	}

	frame := image.NewPaletted(canvas.Bounds(), p)
	nearest := make(map[color.RGBA]uint8, len(colours))
	for _, c := range colours {
		nearest[c] = uint8(p.Index(c))
	}
	for y := range size.Y {
		for x := range size.X {
			frame.SetColorIndex(x, y, nearest[canvas.RGBAAt(x, y)])
		}
	}
	return frame
}
