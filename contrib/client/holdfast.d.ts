/** A WebSocket that outlives its connections: see README.md. */
declare class Holdfast extends EventTarget implements WebSocket {
	constructor(url: string | URL, protocols?: string | string[], options?: Holdfast.Options);

	/** For objects that are made without options of their own. */
	static options?: Holdfast.Options;

	static readonly CONNECTING: 0;
	static readonly OPEN: 1;
	static readonly CLOSING: 2;
	static readonly CLOSED: 3;
	readonly CONNECTING: 0;
	readonly OPEN: 1;
	readonly CLOSING: 2;
	readonly CLOSED: 3;

	readonly url: string;
	readonly readyState: number;
	readonly protocol: string;
	readonly extensions: string;
	binaryType: BinaryType;
	/** Bytes that no carrier has taken yet; while detached, everything that is not acknowledged. */
	readonly bufferedAmount: number;
	/** What carries the session now; '' while detached; 'plain' is a server's WebSocket without resumption. */
	readonly carrier: Holdfast.Carrier | 'plain' | '';
	/** Messages that the proxy has not acknowledged: after a close 1006, the ones in doubt. */
	readonly unacked: number;

	send(data: string | ArrayBufferLike | Blob | ArrayBufferView): void;
	close(code?: number, reason?: string): void;

	onopen: ((this: WebSocket, event: Event) => any) | null;
	onmessage: ((this: WebSocket, event: MessageEvent) => any) | null;
	onerror: ((this: WebSocket, event: Event) => any) | null;
	onclose: ((this: WebSocket, event: CloseEvent) => any) | null;
	/** The session has lost its carrier; nothing is lost, and a new one is on its way. */
	ondetach: ((this: Holdfast, event: Event) => any) | null;
	/** A carrier serves the session: the first one, or another. */
	onattach: ((this: Holdfast, event: Event) => any) | null;

	addEventListener<K extends keyof Holdfast.Events>(type: K, listener: (this: WebSocket, event: Holdfast.Events[K]) => any,
		options?: boolean | AddEventListenerOptions): void;
	addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
	removeEventListener<K extends keyof Holdfast.Events>(type: K, listener: (this: WebSocket, event: Holdfast.Events[K]) => any,
		options?: boolean | EventListenerOptions): void;
	removeEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | EventListenerOptions): void;

	static readonly Holdfast: typeof Holdfast;
}

declare namespace Holdfast {
	type Carrier = 'websocket' | 'stream' | 'poll';

	interface Events extends WebSocketEventMap {
		detach: Event;
		attach: Event;
	}

	interface Options {
		/** The carriers that may be used, by default all. */
		carriers?: Carrier[];
		/** The WebSocket to carry with, where there is no global one (Node below 22: `require('ws')`). */
		WebSocket?: new (url: string, protocols?: string | string[]) => unknown;
		/** The fetch to carry with. */
		fetch?: typeof fetch;
		/** After how many milliseconds on another carrier a WebSocket is tried; the last one repeats. */
		upgrade?: number[];
		/** How many bytes may wait to be acknowledged before the session is given up with 1009. */
		buffer?: number;
	}
}

export = Holdfast;
export as namespace Holdfast;
