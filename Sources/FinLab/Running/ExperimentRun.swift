import CFin
import Fin
import FinTerminal
import Glibc

/// Runs one experiment in this process and reports it on standard output, with a line of JSON for each trial.
package struct ExperimentRun {
  private let experiment: Experiment

  private let world: World

  package init(of experiment: Experiment, in world: World) {
    self.experiment = experiment
    self.world = experiment.world(world)
  }

  package func run() {
    // If `fin lab` dies, this process must end too: its output has no reader then, and nothing would end it if it hung.
    _ = fin_set_parent_death_signal(SIGKILL)
    do {
      // Python ignores this signal, and the recipes come from Python.
      signal(SIGPIPE, SIG_IGN)
      try experiment.naive(Notebook(side: .naive, handOn: ExperimentRun.tell))
      // Fin promises that the signal never arrives, so it must be fatal here.
      signal(SIGPIPE, SIG_DFL)
      // The reactor opens its descriptors here, so that they take no number that a trial relies on.
      if world == .tasks { _ = try Reactor.shared }
      let (experiment, world) = (experiment, world)
      try ThisThread.run {
        try await experiment.fin(Notebook(side: .fin, world: world, handOn: ExperimentRun.tell), world)
      }
    } catch let skip as Skip {
      Output.write(Message.skip(skip.reason).line)
    } catch {
      Output.write(Message.mishap("\(error)").line)
    }
    Output.write(Message.done.line)
  }

  private static func tell(_ trial: Trial) { Output.write(Message.trial(trial).line) }
}
